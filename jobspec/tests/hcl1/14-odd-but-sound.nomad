/* Everything that the language allows and nobody should write. */
job
  "odd"
{
  datacenters=["dc1"  ,"dc2" , ]region="g"/**/priority=1e1
  # one task of the job, one group
  task a { driver = "exec" config = { "command" = "a" , } user = "${a{b}c}" }
  group "b" { task "b" { driver = "raw_exec", config { command = "${"}", x = "}" } } }
  task "c" { driver = "exec" config { command = "multi ${
    line
  } text" } meta = [{ a = 1 }, { b = 2 }] }
}
