job "elastic" {
  datacenters = ["dc1"]
  group "g" {
    scaling {
      enabled = false
      min     = 5
      max     = 100
      policy {
        foo = "bar"
        b   = true
        f   = .1
        check "load" {
          query = "some query"
          strategy "target-value" { target = 20 }
        }
        check "mem" { query = "other" }
      }
    }
    task "t" {
      driver = "exec"
      config { command = "true" }
      scaling "cpu" { min = 50 max = 1000 policy { test = "cpu" } }
      scaling "mem" { max = 2000 }
    }
  }
}
