# The same redis as a plain process of the host: `rove job run examples/redis-process.nomad`
job "redis" {
  datacenters = ["dc1"]

  group "cache" {
    network {
      port "db" {}
    }

    task "redis" {
      driver = "raw_exec"

      config {
        command = "/usr/bin/redis-server"
        args    = ["--port", "${NOMAD_PORT_db}", "--save", "", "--dir", "${NOMAD_TASK_DIR}"]
      }

      resources {
        cpu    = 500
        memory = 256
      }
    }
  }
}
