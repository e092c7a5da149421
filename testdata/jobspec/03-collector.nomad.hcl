job "collector" {
  type        = "system"
  datacenters = ["*"]

  constraint {
    attribute = "${attr.kernel.name}"
    value     = "linux"
  }

  constraint {
    attribute = "${attr.os.version}"
    operator  = "version"
    value     = ">= 11"
  }

  group "collect" {
    volume "spool" {
      type      = "host"
      source    = "spool"
      read_only = true
    }

    task "ship" {
      driver = "raw_exec"

      config {
        command = "/usr/bin/ship"
      }

      volume_mount {
        volume      = "spool"
        destination = "/var/spool/ship"
        read_only   = true
      }

      constraint {
        attribute = "${meta.role}"
        regexp    = "^(edge|core)$"
      }
    }
  }
}
