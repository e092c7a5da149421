// A job with everything that stands at the top.
"job" "batch-of-all" {
  id           = "batch-1"
  name         = "The batch"
  region       = "eu"
  namespace    = "team"
  datacenters  = ["dc1", "dc2",]
  type         = "batch"
  priority     = "70"
  all_at_once  = "1"
  vault_token  = "s.token"
  consul_token = "c-token"

  meta { owner = "ops", "build.number" = 77 }
  meta {
    owner = "web"   # the later block wins
    flag  = true
  }

  constraint {
    attribute = "${attr.kernel.name}"
    value     = "linux"
  }

  periodic {
    cron             = "*/15 * * * *"
    prohibit_overlap = true
    time_zone        = "Europe/Berlin"
    enabled          = "true"
  }

  group "g" {
    task "t" { driver = "exec" config { command = "/bin/date" } }
  }
}
