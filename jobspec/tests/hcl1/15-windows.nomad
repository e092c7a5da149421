job "iis" {
  datacenters = ["win"]
  type        = "system"
  constraint { attribute = "${attr.kernel.name}" value = "windows" }
  group "g" {
    task "t" {
      driver = "raw_exec"
      config {
        command = "powershell.exe"
        args    = ["-File", "local\\run.ps1"]
      }
      template {
        data = <<EOF
Write-Host "ready"
EOF
        destination = "local\\run.ps1"
      }
      env { PATH_EXTRA = "C:\\tools;${env["PATH"]}" }
    }
  }
}
