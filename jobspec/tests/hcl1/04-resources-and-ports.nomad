job "ports" {
  datacenters = ["dc1"]
  group "g" {
    count = 0x2
    network {
      mode = "bridge"
      port "api" { static = 8080 to = 80 host_network = "public" }
      port "x" {}
      dns { servers = ["1.1.1.1"] searches = "a.test" options = ["ndots:1"] }
    }
    task "t" {
      driver = "exec"
      config { command = "true" }
      resources {
        cpu = 500 memory = 256 memory_max = "512" disk = 300 iops = 0
        network {
          mbits = 10
          port "http" {}
          port "x" { static = 1 }
          port db { static = "5432" }
          port admin {}
        }
        device "nvidia/gpu" {
          count = 2
          constraint { attribute = "${device.attr.memory}" operator = ">=" value = "2 GiB" }
          affinity { attribute = "${device.model}" value = "Tesla" weight = 50 }
        }
      }
    }
  }
}
