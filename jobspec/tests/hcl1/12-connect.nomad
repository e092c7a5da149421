job "connect" {
  datacenters = ["dc1"]
  group "api" {
    network { mode = "bridge" }
    service {
      name = "api"
      port = "9001"
      tagged_addresses { wan = "1.2.3.4" }
      connect {
        sidecar_service {
          tags = ["side"]
          proxy {
            local_service_port = 8080
            upstreams { destination_name = "db" local_bind_port = 5432 }
            upstreams { destination_name = "cache" local_bind_port = "6379" datacenter = "dc2" mesh_gateway { mode = "local" } }
            config { envoy_x = 5 }
            expose { path { path = "/metrics" protocol = "http" local_path_port = 9001 listener_port = "metrics" } }
          }
        }
        sidecar_task {
          driver = "docker"
          config { image = "envoy" }
          config { args = ["-v"] }
          env { A = "b" }
          resources { cpu = 50 memory = 64 }
          kill_timeout   = "5s"
          shutdown_delay = "2s"
          logs { max_files = 1 }
        }
      }
    }
    service { name = "native" task = "t" connect { native = true } }
    task "t" { driver = "docker" config { image = "x" } }
  }
}
