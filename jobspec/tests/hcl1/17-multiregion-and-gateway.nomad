job "wide" {
  multiregion {
    strategy { max_parallel = 1 on_failure = "fail_all" }
    region "west" { count = 2 datacenters = ["west-1"] meta { a = 1 } }
    region "east" { count = 1 datacenters = "east-1" }
  }
  group "gw" {
    service {
      name = "ingress"
      connect {
        gateway {
          proxy {
            connect_timeout = "500ms"
            envoy_gateway_bind_addresses "r1" { address = "10.0.0.1" port = 8888 }
            config { foo = "bar" }
          }
          ingress {
            tls { enabled = true }
            listener { port = 8080 protocol = "tcp" service { name = "db" hosts = ["a", "b"] } }
          }
        }
      }
    }
    task "t" { driver = "docker" config { image = "x" } }
  }
}
