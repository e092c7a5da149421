job "services" {
  datacenters = ["dc1"]
  group "g" {
    task "t" {
      driver = "docker"
      config { image = "redis:3.2" }
      service {
        name = "global-redis-check"
        tags = ["global", "cache", "v${NOMAD_ALLOC_INDEX}", 7]
        port = "db"
        address_mode = "driver"
        canary_tags = "canary"
        meta { version = 3 }
        canary_meta { version = 4 }
        check {
          name     = "alive"
          type     = "tcp"
          interval = "10s"
          timeout  = "2s"
        }
        check {
          type            = "http"
          path            = "/health?x=${env["X"]}"
          protocol        = "https"
          method          = "POST"
          tls_skip_verify = true
          initial_status  = "passing"
          interval        = "1m"
          timeout         = 5000000000
          header { Authorization = ["Basic abc"] }
          header { "X-Many" = ["a", "b"], Authorization = ["more"] }
          check_restart { limit = 3 grace = "90s" ignore_warnings = false }
        }
        check { type = "script" name = "s" command = "/bin/sh" args = ["-c", "exit 0"] interval = "5s" timeout = "1s" }
        check_restart { limit = 5 }
      }
      service { port = 8080 }
    }
  }
}
