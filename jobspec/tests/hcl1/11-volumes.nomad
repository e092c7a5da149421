job "volumes" {
  datacenters = ["dc1"]
  group "g" {
    volume "data" { type = "host" source = "shared" read_only = true }
    volume "csi" {
      type            = "csi"
      source          = "vol"
      access_mode     = "single-node-writer"
      attachment_mode = "file-system"
      per_alloc       = true
      mount_options { fs_type = "ext4" mount_flags = ["ro", "noatime"] }
    }
    task "t" {
      driver = "docker"
      config { image = "x" }
      volume_mount { volume = "data" destination = "/data" read_only = "true" propagation_mode = "private" }
      volume_mount { volume = "csi", destination = "/csi" }
      csi_plugin { id = "org.x" type = "monolith" mount_dir = "/csi/x" health_timeout = "1m" }
      identity { env = true file = false }
    }
  }
}
