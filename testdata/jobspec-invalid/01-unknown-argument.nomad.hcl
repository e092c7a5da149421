job "web" {
  group "g" {
    cuont = 3
    task "t" {
      driver = "docker"
      config {
        image = "a"
      }
    }
  }
}
