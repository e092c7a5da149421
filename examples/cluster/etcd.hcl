# Given to the server after server.hcl (-config server.hcl -config etcd.hcl): keep the state in etcd.
server {
  etcd {
    endpoints = ["http://172.17.8.101:2379"]
  }
}
