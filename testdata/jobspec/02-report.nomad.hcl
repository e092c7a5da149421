# A batch job by the clock, with all that a plain process may be given.
job "report" {
  type        = "batch"
  datacenters = ["dc1"]

  periodic {
    cron             = "30 1 * * 1-5"
    time_zone        = "Europe/Vienna"
    prohibit_overlap = true
  }

  group "make" {
    ephemeral_disk {
      size   = 600
      sticky = true
    }

    restart {
      attempts = 4
      interval = "30m"
      delay    = "8s"
      mode     = "fail"
    }

    task "pdf" {
      driver = "raw_exec"
      user   = "report"

      config {
        command = "/usr/local/bin/report"
        args    = ["--day", "${NOMAD_META_day}"]
      }

      artifact {
        source      = "https://files.test/fonts.tar.gz"
        destination = "local/fonts"
      }

      template {
        data        = <<EOT
title = "Report"
pages = {{ env "PAGES" }}
EOT
        destination = "local/report.toml"
        change_mode = "noop"
      }

      logs {
        max_files     = 3
        max_file_size = 5
      }

      meta {
        day = "yesterday"
      }
    }
  }
}
