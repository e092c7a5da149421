locals {
  shards = {
    a = { port = 7101, words = ["one"] }
    b = { port = 7102, words = ["two", "three"] }
  }
}

job "shards" {
  datacenters = ["dc1"]

  dynamic "group" {
    for_each = local.shards
    iterator = shard
    labels   = ["shard-${shard.key}"]

    content {
      network {
        port "rpc" {
          static = shard.value.port
        }
      }

      task "serve" {
        driver = "raw_exec"

        config {
          command = "/bin/shard"
          args    = [for word in shard.value.words : upper(word) if word != "three"]
        }
      }
    }
  }
}
