log_level = "DEBUG"
data_dir  = "/tmp/server1"

server {
  enabled          = true
  bootstrap_expect = 1
}

advertise {
  http = "172.17.8.101:4646"
  rpc  = "172.17.8.101:4647"
  serf = "172.17.8.101:4648"
}
