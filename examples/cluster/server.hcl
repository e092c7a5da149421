# A single server: it keeps its state in an embedded store under data_dir.
data_dir = "/tmp/server"

server {
  enabled          = true
  bootstrap_expect = 1
}

# What clients and other servers are told. Ports may be left out.
advertise {
  http = "172.17.8.101:4646"
  rpc  = "172.17.8.101:4647"
}
