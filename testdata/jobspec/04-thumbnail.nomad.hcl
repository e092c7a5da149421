job "thumbnail" {
  type        = "batch"
  datacenters = ["dc1"]

  parameterized {
    payload       = "required"
    meta_required = ["width"]
    meta_optional = ["format"]
  }

  group "scale" {
    task "scale" {
      driver = "docker"

      config {
        image   = "tools/scale:1"
        command = "scale"
        args    = ["--width", "${NOMAD_META_width}", "${NOMAD_TASK_DIR}/in.bin"]
      }

      dispatch_payload {
        file = "in.bin"
      }
    }
  }
}
