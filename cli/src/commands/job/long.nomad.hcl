# A job is what rove keeps running. This one is a Redis server in a Docker container; every block that it needs, and
# some that it could do without, are explained where they stand. Edit it, then try:
#
#     rove job validate example.nomad.hcl
#     rove job plan     example.nomad.hcl
#     rove job run      example.nomad.hcl

# The label is the job's id. It names the job in every command, and running a file with the same id again changes the
# job instead of making a second one.
job "example" {
  # Only nodes of these datacenters are considered. An agent that says nothing else is in "dc1".
  datacenters = ["dc1"]

  # "service" runs until it is stopped. "batch" runs until its tasks have ended well.
  type = "service"

  # From 1 to 100. When there is not room for everything, jobs with a higher priority are placed first.
  priority = 50

  # How a new version replaces the one that runs.
  update {
    # So many allocs are replaced at a time.
    max_parallel = 1

    # An alloc counts as healthy after its tasks have run so long without a break ...
    min_healthy_time = "10s"

    # ... and has failed if it isn't healthy by then.
    healthy_deadline = "3m"

    # The roll-out fails if nothing becomes healthy for so long.
    progress_deadline = "10m"
  }

  # A group is what is placed on one node as a whole: its tasks run side by side and share a network and a folder.
  # Each instance of a group is an alloc.
  group "cache" {
    # How many instances there are. Change it and run the file again: the ones that run are not restarted.
    count = 1

    # What the group needs of the network.
    network {
      # A port with a name. The node's number of it is picked when the alloc is placed, and tasks find it in
      # NOMAD_PORT_db. "to" is the number inside the container; with "static" the number on the node is fixed too.
      port "db" {
        to = 6379
      }
    }

    # What happens when a task ends though it should not: it is started again on the same node, at most so often
    # within the interval, with this pause. With mode "fail" the alloc has failed after that and is placed anew
    # elsewhere; with "delay" the count begins again with the next interval.
    restart {
      attempts = 2
      interval = "30m"
      delay    = "15s"
      mode     = "fail"
    }

    # The folder that the tasks of an alloc share, at most so many megabytes.
    ephemeral_disk {
      size = 300
    }

    # A task is one process or container.
    task "redis" {
      # What runs it: "docker" for a container, "raw_exec" for a program of the node (where that is allowed).
      driver = "docker"

      # What this driver wants to know. Ports are those of the network block, by name.
      config {
        image = "redis:3.2"

        ports = ["db"]
      }

      # Variables of the task's environment, beside those that begin with NOMAD_.
      env {
        LANG = "C"
      }

      # Output is kept in files of this size; the oldest of them is removed when there is one too many.
      # "rove alloc logs" reads them.
      logs {
        max_files     = 10
        max_file_size = 10
      }

      # How long the task has to end after it is asked to, before it is killed.
      kill_timeout = "5s"

      # What is set aside for the task: MHz of processor and MB of memory.
      resources {
        cpu    = 500
        memory = 256
      }
    }
  }
}
