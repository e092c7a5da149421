job "video" {
  datacenters = ["dc1"] type = "batch"
  parameterized {
    payload       = "required"
    meta_required = ["input", "profile"]
    meta_optional = "output"
  }
  group "g" {
    task "encode" {
      driver = "exec"
      config {
        command = "/bin/encode.sh"
        args    = ["${NOMAD_META_INPUT}", "${NOMAD_META_PROFILE}"]
      }
      dispatch_payload { file = "config.json" }
    }
  }
}
