job "web" {
  type = "service"
  periodic {
    cron = "61 * * * *"
  }
  group "g" {
    task "t" {
      driver = "docker"
      config {
        image = "a"
      }
    }
  }
}
