job "web" {
  group "g" {
    task "t" {
      driver       = "docker"
      kill_timeout = "a while"
      config {
        image = "a"
      }
    }
  }
}
