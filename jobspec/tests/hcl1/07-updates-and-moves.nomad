job "updates" {
  datacenters = ["dc1"]
  update {
    max_parallel      = "2"
    stagger           = "30s"
    health_check      = "task_states"
    min_healthy_time  = "15s"
    healthy_deadline  = "10m"
    progress_deadline = "0"
    canary            = 1
    auto_revert       = true
    auto_promote      = "true"
  }
  migrate { max_parallel = 2, health_check = "checks", min_healthy_time = "1s", healthy_deadline = "2m" }
  reschedule { attempts = 15 interval = "30m" delay = "10s" delay_function = "constant" unlimited = false }
  group "g" {
    count = "5"
    update { max_parallel = 3 canary = 0 }
    migrate { max_parallel = 3 }
    reschedule { delay = "5s", delay_function = "fibonacci", max_delay = "20s", unlimited = 1 }
    restart { attempts = 10 interval = "5m" delay = "25s" mode = "delay" }
    ephemeral_disk { sticky = true migrate = "true" size = "150" }
    shutdown_delay = "14s"
    task "t" {
      driver = "exec"
      config { command = "true" }
      restart { attempts = 1 mode = "fail" }
      kill_timeout   = "22s"
      kill_signal    = "SIGQUIT"
      shutdown_delay = "11s"
      leader         = true
      user           = "nobody"
      kind           = "connect-proxy:x"
      logs { max_files = 14 max_file_size = 101 disabled = false }
      lifecycle { hook = "prestart" sidecar = "true" }
    }
  }
}
