# The AppArmor profile of containers for which nothing else is said, or `RuntimeDefault` (apparmor.d(5)).
# A container may do what its namespaces, capabilities and seccomp filter allow, except:
profile minipod-default flags=(attach_disconnected, mediate_deleted) {
  capability,
  file,
  network,
  umount,

  # mount anything, whatever its capabilities;
  deny mount,

  # reach processes outside of minipod's containers: whoever is not confined may signal it, and nobody else;
  signal (receive) peer=unconfined,
  signal (send, receive) peer=minipod-default,
  ptrace (trace, read, tracedby, readby) peer=minipod-default,

  # write the kernel's own files. Those of a process (/proc/PID, /proc/self, /proc/thread-self) stay writable,
  # and so do its own cgroups.
  deny /proc/* w,
  deny /proc/{[^0-9st]*,s[^e]*,t[^h]*}/** w,
  deny /proc/sysrq-trigger rwklx,
  deny /proc/kcore rwklx,
  deny /sys/[^f]*/** wklx,
  deny /sys/f[^s]*/** wklx,
  deny /sys/fs/[^c]*/** wklx,
  deny /sys/fs/c[^g]*/** wklx,
  deny /sys/firmware/** rwklx,
}
