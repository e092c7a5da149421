job "vault" {
  datacenters = ["dc1"]
  vault { policies = ["job"] }
  group "own" {
    vault { policies = "group", env = false }
    task "inherits" { driver = "exec" config { command = "true" } }
    task "has-its-own" {
      driver = "exec"
      config { command = "true" }
      vault { policies = ["task"] change_mode = "signal" change_signal = "SIGUSR1" namespace = "ns1" }
    }
  }
  group "other" {
    task "of-the-job" { driver = "exec" config { command = "true" } }
  }
}
