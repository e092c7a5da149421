{
  "job": {
    "in-json": {
      "datacenters": ["dc1"],
      "constraint": [{"attribute": "${attr.arch}", "value": "amd64"}, {"distinct_hosts": true}],
      "group": {
        "web": {
          "count": 2,
          "task": [
            {"server": {"driver": "docker", "config": [{"image": "nginx", "port_map": [{"http": 80}]}], "env": {"A": "b"},
              "resources": {"network": {"mbits": 1, "port": {"http": {}, "admin": {"static": 9000}}}}}},
            {"helper": {"driver": "exec", "config": {"command": "x"}, "user": null}}
          ]
        }
      }
    }
  }
}
