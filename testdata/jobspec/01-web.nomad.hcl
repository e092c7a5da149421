job "web" {
  datacenters = ["dc1", "dc2"]
  priority    = 60

  update {
    max_parallel     = 2
    canary           = 1
    auto_promote     = true
    auto_revert      = true
    min_healthy_time = "12s"
    healthy_deadline = "3m"
  }

  group "front" {
    count = 4

    network {
      mode = "bridge"
      port "http" {
        to = 8080
      }
      port "metrics" {
        static = 9102
      }
    }

    service {
      name     = "front"
      port     = "http"
      provider = "nomad"
      tags     = ["public", "v2"]

      check {
        type     = "http"
        path     = "/ready"
        interval = "7s"
        timeout  = "2s"
      }
    }

    task "server" {
      driver = "docker"

      config {
        image = "shop/front:2.4"
        ports = ["http", "metrics"]
        args  = ["-listen", "0.0.0.0:${NOMAD_PORT_http}"]
      }

      env {
        REGION = "${node.region}"
      }

      kill_timeout = "20s"

      resources {
        cpu    = 250
        memory = 192
      }
    }
  }
}
