job "templates" {
  datacenters = ["dc1"]
  group "g" {
    task "t" {
      driver = "exec"
      config { command = "local/run.sh", args = ["--path", "C:\\x", "tab\there", "q\"q", "\x41\101\u00e9"] }
      artifact {
        source      = "https://example.test/a.tgz?x=${attr.cpu.arch}"
        destination = "local/a"
        mode        = "dir"
        options { checksum = "md5:df6a4178aec9fbdc1d6d7e3634d1bc33", archive = false }
        headers { X-Token = "t" }
      }
      artifact { source = "git::https://example.test/r" }
      template {
        data = <<EOF
#!/bin/sh
echo "${HOME:-/root}" %{x} \n {{ env "NOMAD_PORT_http" }}
  EOF
        destination = "local/run.sh"
        perms       = 755
      }
      template {
        data = <<-EOF
          a
            b
          EOF
        destination     = "local/b"
        change_mode     = "noop"
        splay           = "10s"
        env             = true
        left_delimiter  = "[["
        right_delimiter = "]]"
        wait { min = "1s" max = "4s" }
      }
      template {
        source      = "local/c.tpl"
        destination = "local/c"
        change_mode = "script"
        change_script { command = "/bin/reload" args = ["-x"] timeout = "3s" fail_on_error = true }
        uid = 1000
        vault_grace = "5m"
      }
    }
  }
}
