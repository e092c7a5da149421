job "constraints" {
  datacenters = ["dc1"]
  constraint { distinct_hosts = true }
  constraint { distinct_hosts = "false" }
  constraint { distinct_property = "${meta.rack}" value = 2 }
  constraint {
    attribute = "${attr.os.version}"
    version   = ">= 16.04"
  }
  constraint { attribute = "${attr.nomad.version}", semver = ">= 1.2.0" }
  group "g" {
    constraint {
      attribute = "${meta.tier}"
      regexp    = "^(web|db)-[0-9]+$"
    }
    constraint {
      attribute    = "${meta.disks}"
      set_contains = "ssd,nvme"
    }
    task "t" {
      driver = "exec"
      config { command = "true" }
      constraint {
        attribute = "${node.class}"
        operator  = "!="
        value     = "small"
      }
    }
  }
}
