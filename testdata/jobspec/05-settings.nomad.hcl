variable "image" {
  type    = string
  default = "redis:3.2"
}

variable "copies" {
  type = number

  validation {
    condition     = var.copies >= 1 && var.copies <= 9
    error_message = "Between one and nine copies."
  }
}

variable "sizes" {
  type = object({
    cpu    = number
    memory = number
  })
  default = { cpu = 120, memory = 64 }
}

locals {
  tier  = lower("GOLD")
  names = formatlist("%s-%02d", local.tier, [1, 2])
}

job "settings" {
  datacenters = split("/", "dc1/dc2")

  meta {
    names = join(",", local.names)
    sum   = "${sha256("settings")}"
    even  = "${var.copies % 2 == 0 ? "yes" : "no"}"
  }

  group "g" {
    count = var.copies

    task "t" {
      driver = "docker"

      config {
        image = var.image
      }

      resources {
        cpu    = var.sizes.cpu * 2
        memory = max(var.sizes.memory, 96)
      }
    }
  }
}
