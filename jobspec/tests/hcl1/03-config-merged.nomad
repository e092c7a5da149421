job "config" {
  datacenters = "dc1"
  task "web" {
    driver = "docker"
    config {
      image   = "nginx:1.11"
      volumes = ["/a:/a"]
      volumes = ["/b:/b"]
      labels { team = "a" }
      labels { tier = "b", weight = 3 }
      logging {
        type = "syslog"
        config { tag = "web" }
      }
      port_map { http = 80 }
      ulimit { nofile = "20000:40000" }
      mounts = [
        { target = "/x", readonly = true, volume_options { driver_config { name = "local" } } },
        { target = "/y" }
      ]
      auth = { username = "u" "password" = "p" }
      mount "a" "b" { size = 0x10 }
    }
    config {
      image       = "nginx:1.13"
      labels      = [{ team = "c" }]
      interactive = false
      load        = 1.5
    }
    env = { A = "1" }
    env { "B" = 2.50, C = false, A = "3" }
  }
}
