job "placement" {
  datacenters = ["dc1"]
  all_at_once = true

  affinity {
    attribute = "${node.class}"
    value     = "big"
    weight    = 70
  }

  spread {
    attribute = "${node.datacenter}"
    weight    = 80
    target "dc1" {
      percent = 60
    }
    target "dc2" {
      percent = 40
    }
  }

  group "main" {
    count                     = 2
    shutdown_delay            = "4s"
    max_client_disconnect     = "1h"

    constraint {
      operator = "distinct_hosts"
      value    = "true"
    }

    reschedule {
      delay          = "45s"
      delay_function = "exponential"
      max_delay      = "20m"
      unlimited      = true
    }

    migrate {
      max_parallel     = 1
      health_check     = "task_states"
      min_healthy_time = "9s"
      healthy_deadline = "2m"
    }

    task "init" {
      driver = "raw_exec"
      lifecycle {
        hook = "prestart"
      }
      config {
        command = "/bin/prepare"
      }
    }

    task "main" {
      driver      = "raw_exec"
      leader      = true
      kill_signal = "SIGINT"
      config {
        command = "/bin/main"
      }
    }

    task "tail" {
      driver = "raw_exec"
      lifecycle {
        hook    = "poststart"
        sidecar = true
      }
      config {
        command = "/bin/tail"
      }
    }
  }

  group "batch-like" {
    count = 0
    task "t" {
      driver = "docker"
      config {
        image = "busybox"
      }
    }
  }
}
