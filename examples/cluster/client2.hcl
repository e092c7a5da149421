# A client: it runs tasks and keeps only what it needs to find them again.
data_dir = "/tmp/client"

client {
  enabled = true
  servers = ["172.17.8.101:4647"]
}

advertise {
  http = "172.17.8.103:4646"
}
