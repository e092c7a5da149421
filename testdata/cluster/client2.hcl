log_level = "DEBUG"
data_dir  = "/tmp/client"

client {
  enabled = true
  servers = ["172.17.8.101:4647"]
}

advertise {
  http = "172.17.8.103:4646"
  rpc  = "172.17.8.103:4647"
  serf = "172.17.8.103:4648"
}
