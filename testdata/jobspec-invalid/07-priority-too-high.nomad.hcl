job "web" {
  priority = 4000
  group "g" {
    task "t" {
      driver = "docker"
      config {
        image = "a"
      }
    }
  }
}
