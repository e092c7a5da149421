job "spread" {
  datacenters = ["dc1", "dc2"]
  affinity { attribute = "${meta.team}" value = "mobile" operator = "=" weight = 50 }
  affinity { attribute = "${meta.x}" set_contains_any = "a,b" weight = "-20" }
  affinity { attribute = "${meta.y}" set_contains_all = "a,b" }
  spread {
    attribute = "${node.datacenter}"
    weight    = 100
    target "dc1" { percent = 70 }
    target "dc2" { percent = "30" }
  }
  group "g" {
    spread { attribute = "${meta.rack}" }
    affinity { attribute = "${attr.os.version}" version = ">= 16" weight = 10 }
    task "t" {
      driver = "exec"
      config { command = "true" }
      affinity { attribute = "${node.class}" regexp = "^big" weight = 5 }
    }
  }
}
