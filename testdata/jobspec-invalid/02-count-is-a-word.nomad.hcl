job "web" {
  group "g" {
    count = "several"
    task "t" {
      driver = "docker"
      config {
        image = "a"
      }
    }
  }
}
