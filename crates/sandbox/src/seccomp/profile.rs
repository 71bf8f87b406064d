//! The default profile: what docker and containerd let a container do.
//!
//! A call that is not named fails with `EPERM`. Some are allowed only with a capability, some only
//! with certain arguments.

use std::collections::BTreeMap;

use super::program::{Action, Program, Rule};

/// Calls that every container may make.
const ALLOWED: [libc::c_long; 292] = [
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_access,
    libc::SYS_adjtimex,
    libc::SYS_alarm,
    libc::SYS_arch_prctl,
    libc::SYS_bind,
    libc::SYS_brk,
    libc::SYS_capget,
    libc::SYS_capset,
    libc::SYS_chdir,
    libc::SYS_chmod,
    libc::SYS_chown,
    libc::SYS_clock_adjtime,
    libc::SYS_clock_getres,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_close,
    libc::SYS_close_range,
    libc::SYS_connect,
    libc::SYS_copy_file_range,
    libc::SYS_creat,
    libc::SYS_dup,
    libc::SYS_dup2,
    libc::SYS_dup3,
    libc::SYS_epoll_create,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_ctl_old,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_epoll_wait,
    libc::SYS_epoll_wait_old,
    libc::SYS_eventfd,
    libc::SYS_eventfd2,
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_fadvise64,
    libc::SYS_fallocate,
    libc::SYS_fanotify_mark,
    libc::SYS_fchdir,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_fchmodat2,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_fcntl,
    libc::SYS_fdatasync,
    libc::SYS_fgetxattr,
    libc::SYS_flistxattr,
    libc::SYS_flock,
    libc::SYS_fork,
    libc::SYS_fremovexattr,
    libc::SYS_fsetxattr,
    libc::SYS_fstat,
    libc::SYS_fstatfs,
    libc::SYS_fsync,
    libc::SYS_ftruncate,
    libc::SYS_futex,
    libc::SYS_futex_waitv,
    libc::SYS_futimesat,
    libc::SYS_getcpu,
    libc::SYS_getcwd,
    libc::SYS_getdents,
    libc::SYS_getdents64,
    libc::SYS_getegid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getgroups,
    libc::SYS_getitimer,
    libc::SYS_getpeername,
    libc::SYS_getpgid,
    libc::SYS_getpgrp,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_getpriority,
    libc::SYS_getrandom,
    libc::SYS_getresgid,
    libc::SYS_getresuid,
    libc::SYS_getrlimit,
    libc::SYS_get_robust_list,
    libc::SYS_getrusage,
    libc::SYS_getsid,
    libc::SYS_getsockname,
    libc::SYS_getsockopt,
    libc::SYS_get_thread_area,
    libc::SYS_gettid,
    libc::SYS_gettimeofday,
    libc::SYS_getuid,
    libc::SYS_getxattr,
    libc::SYS_inotify_add_watch,
    libc::SYS_inotify_init,
    libc::SYS_inotify_init1,
    libc::SYS_inotify_rm_watch,
    libc::SYS_io_cancel,
    libc::SYS_ioctl,
    libc::SYS_io_destroy,
    libc::SYS_io_getevents,
    libc::SYS_ioprio_get,
    libc::SYS_ioprio_set,
    libc::SYS_io_setup,
    libc::SYS_io_submit,
    libc::SYS_kill,
    libc::SYS_landlock_add_rule,
    libc::SYS_landlock_create_ruleset,
    libc::SYS_landlock_restrict_self,
    libc::SYS_lchown,
    libc::SYS_lgetxattr,
    libc::SYS_link,
    libc::SYS_linkat,
    libc::SYS_listen,
    libc::SYS_listxattr,
    libc::SYS_llistxattr,
    libc::SYS_lremovexattr,
    libc::SYS_lseek,
    libc::SYS_lsetxattr,
    libc::SYS_lstat,
    libc::SYS_madvise,
    libc::SYS_membarrier,
    libc::SYS_memfd_create,
    libc::SYS_memfd_secret,
    libc::SYS_mincore,
    libc::SYS_mkdir,
    libc::SYS_mkdirat,
    libc::SYS_mknod,
    libc::SYS_mknodat,
    libc::SYS_mlock,
    libc::SYS_mlock2,
    libc::SYS_mlockall,
    libc::SYS_mmap,
    libc::SYS_modify_ldt,
    libc::SYS_mprotect,
    libc::SYS_mq_getsetattr,
    libc::SYS_mq_notify,
    libc::SYS_mq_open,
    libc::SYS_mq_timedreceive,
    libc::SYS_mq_timedsend,
    libc::SYS_mq_unlink,
    libc::SYS_mremap,
    libc::SYS_mseal,
    libc::SYS_msgctl,
    libc::SYS_msgget,
    libc::SYS_msgrcv,
    libc::SYS_msgsnd,
    libc::SYS_msync,
    libc::SYS_munlock,
    libc::SYS_munlockall,
    libc::SYS_munmap,
    libc::SYS_name_to_handle_at,
    libc::SYS_nanosleep,
    libc::SYS_newfstatat,
    libc::SYS_open,
    libc::SYS_openat,
    libc::SYS_openat2,
    libc::SYS_pause,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_send_signal,
    libc::SYS_pipe,
    libc::SYS_pipe2,
    libc::SYS_pkey_alloc,
    libc::SYS_pkey_free,
    libc::SYS_pkey_mprotect,
    libc::SYS_poll,
    libc::SYS_ppoll,
    libc::SYS_prctl,
    libc::SYS_pread64,
    libc::SYS_preadv,
    libc::SYS_preadv2,
    libc::SYS_prlimit64,
    libc::SYS_process_mrelease,
    libc::SYS_pselect6,
    libc::SYS_pwrite64,
    libc::SYS_pwritev,
    libc::SYS_pwritev2,
    libc::SYS_read,
    libc::SYS_readahead,
    libc::SYS_readlink,
    libc::SYS_readlinkat,
    libc::SYS_readv,
    libc::SYS_recvfrom,
    libc::SYS_recvmmsg,
    libc::SYS_recvmsg,
    libc::SYS_remap_file_pages,
    libc::SYS_removexattr,
    libc::SYS_rename,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_restart_syscall,
    libc::SYS_rmdir,
    libc::SYS_rseq,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigpending,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigsuspend,
    libc::SYS_rt_sigtimedwait,
    libc::SYS_rt_tgsigqueueinfo,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_getattr,
    libc::SYS_sched_getparam,
    libc::SYS_sched_get_priority_max,
    libc::SYS_sched_get_priority_min,
    libc::SYS_sched_getscheduler,
    libc::SYS_sched_rr_get_interval,
    libc::SYS_sched_setaffinity,
    libc::SYS_sched_setattr,
    libc::SYS_sched_setparam,
    libc::SYS_sched_setscheduler,
    libc::SYS_sched_yield,
    libc::SYS_seccomp,
    libc::SYS_select,
    libc::SYS_semctl,
    libc::SYS_semget,
    libc::SYS_semop,
    libc::SYS_semtimedop,
    libc::SYS_sendfile,
    libc::SYS_sendmmsg,
    libc::SYS_sendmsg,
    libc::SYS_sendto,
    libc::SYS_setfsgid,
    libc::SYS_setfsuid,
    libc::SYS_setgid,
    libc::SYS_setgroups,
    libc::SYS_setitimer,
    libc::SYS_setpgid,
    libc::SYS_setpriority,
    libc::SYS_setregid,
    libc::SYS_setresgid,
    libc::SYS_setresuid,
    libc::SYS_setreuid,
    libc::SYS_setrlimit,
    libc::SYS_set_robust_list,
    libc::SYS_setsid,
    libc::SYS_setsockopt,
    libc::SYS_set_thread_area,
    libc::SYS_set_tid_address,
    libc::SYS_setuid,
    libc::SYS_setxattr,
    libc::SYS_shmat,
    libc::SYS_shmctl,
    libc::SYS_shmdt,
    libc::SYS_shmget,
    libc::SYS_shutdown,
    libc::SYS_sigaltstack,
    libc::SYS_signalfd,
    libc::SYS_signalfd4,
    libc::SYS_socketpair,
    libc::SYS_splice,
    libc::SYS_stat,
    libc::SYS_statfs,
    libc::SYS_statx,
    libc::SYS_symlink,
    libc::SYS_symlinkat,
    libc::SYS_sync,
    libc::SYS_sync_file_range,
    libc::SYS_syncfs,
    libc::SYS_sysinfo,
    libc::SYS_tee,
    libc::SYS_tgkill,
    libc::SYS_time,
    libc::SYS_timer_create,
    libc::SYS_timer_delete,
    libc::SYS_timer_getoverrun,
    libc::SYS_timer_gettime,
    libc::SYS_timer_settime,
    libc::SYS_timerfd_create,
    libc::SYS_timerfd_gettime,
    libc::SYS_timerfd_settime,
    libc::SYS_times,
    libc::SYS_tkill,
    libc::SYS_truncate,
    libc::SYS_umask,
    libc::SYS_uname,
    libc::SYS_unlink,
    libc::SYS_unlinkat,
    libc::SYS_utime,
    libc::SYS_utimensat,
    libc::SYS_utimes,
    libc::SYS_vfork,
    libc::SYS_vmsplice,
    libc::SYS_wait4,
    libc::SYS_waitid,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
];

/// The same, for calls that the libc crate has no name for yet: `io_pgetevents`, cachestat, `futex_requeue`, `futex_wait`, `futex_wake`, getxattrat, listxattrat, `map_shadow_stack`, removexattrat, setxattrat, statmount, listmount, uretprobe, `lsm_get_self_attr`, `lsm_list_modules`, `lsm_set_self_attr`.
const ALLOWED_BY_NUMBER: [u32; 16] =
    [333, 451, 456, 455, 454, 464, 465, 453, 466, 463, 457, 458, 335, 459, 461, 460];

/// Calls that need a capability: its number, and the calls.
const WITH_CAPABILITY: [(u32, &[libc::c_long]); 15] = [
    (2, &[libc::SYS_open_by_handle_at]),
    (16, &[libc::SYS_delete_module, libc::SYS_init_module, libc::SYS_finit_module]),
    (17, &[libc::SYS_iopl, libc::SYS_ioperm]),
    (18, &[libc::SYS_chroot]),
    (19, &[libc::SYS_kcmp, libc::SYS_pidfd_getfd, libc::SYS_process_madvise]),
    (20, &[libc::SYS_acct]),
    (
        SYS_ADMIN,
        &[
            libc::SYS_bpf,
            libc::SYS_clone,
            libc::SYS_clone3,
            libc::SYS_fanotify_init,
            libc::SYS_fsconfig,
            libc::SYS_fsmount,
            libc::SYS_fsopen,
            libc::SYS_fspick,
            libc::SYS_lookup_dcookie,
            libc::SYS_mount,
            libc::SYS_mount_setattr,
            libc::SYS_move_mount,
            libc::SYS_open_tree,
            libc::SYS_perf_event_open,
            libc::SYS_quotactl,
            libc::SYS_quotactl_fd,
            libc::SYS_setdomainname,
            libc::SYS_sethostname,
            libc::SYS_setns,
            libc::SYS_syslog,
            libc::SYS_umount2,
            libc::SYS_unshare,
        ],
    ),
    (22, &[libc::SYS_reboot]),
    (23, &[libc::SYS_get_mempolicy, libc::SYS_mbind, libc::SYS_set_mempolicy]),
    (25, &[libc::SYS_settimeofday, libc::SYS_clock_settime]),
    (26, &[libc::SYS_vhangup]),
    (34, &[libc::SYS_syslog]),
    (38, &[libc::SYS_perf_event_open]),
    (39, &[libc::SYS_bpf]),
    (40, &[]),
];

const SYS_ADMIN: u32 = 21;

/// clone(2) flags for new namespaces, which need `CAP_SYS_ADMIN`: mount, cgroup, uts, ipc, user,
/// pid, network.
const NEW_NAMESPACES: u32 = 0x7e02_0000;

/// personality(2): the default, 32-bit, and asking.
const PERSONALITIES: [u32; 5] = [0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];

/// The default profile for a process with that bounding set of capabilities.
pub fn runtime_default(bounding: u64) -> Program {
    Program::compile(&rules(bounding))
}

fn rules(bounding: u64) -> BTreeMap<u32, Rule> {
    let mut rules = BTreeMap::new();
    let number = |call: libc::c_long| u32::try_from(call).unwrap_or(u32::MAX);
    let allow = || Rule::Always(Action::Allow);
    for call in ALLOWED {
        rules.insert(number(call), allow());
    }
    for call in ALLOWED_BY_NUMBER {
        rules.insert(call, allow());
    }
    // Its flags are behind a pointer, which a filter cannot follow; libraries fall back to clone.
    let no_such_call = Rule::Always(Action::Errno(libc::ENOSYS.unsigned_abs()));
    rules.insert(number(libc::SYS_clone3), no_such_call);
    let no_namespaces = Rule::AllowUnless { argument: 0, mask: NEW_NAMESPACES };
    rules.insert(number(libc::SYS_clone), no_namespaces);
    let personalities = Rule::AllowValues { argument: 0, values: PERSONALITIES.to_vec() };
    rules.insert(number(libc::SYS_personality), personalities);
    let families = [libc::AF_ALG, libc::AF_VSOCK].map(i32::unsigned_abs);
    let no_odd_families = Rule::DenyValues { argument: 0, values: families.to_vec() };
    rules.insert(number(libc::SYS_socket), no_odd_families);
    for (capability, calls) in WITH_CAPABILITY {
        if bounding & (1 << capability) != 0 {
            rules.extend(calls.iter().map(|call| (number(*call), allow())));
        }
    }
    rules
}

#[cfg(test)]
mod tests {
    use super::super::program::interpreter::{verdict, verdict_on};
    use super::*;

    const ALLOW: u32 = 0x7fff_0000;
    const EPERM: u32 = 0x0005_0001;
    const ENOSYS: u32 = 0x0005_0026;
    const KILL: u32 = 0x8000_0000;

    fn number(call: libc::c_long) -> u32 {
        u32::try_from(call).unwrap()
    }

    #[test]
    fn every_call_gets_the_verdict_of_its_rule() {
        let rules = rules(crate::capabilities::DEFAULT);
        let program = Program::compile(&rules);
        let last = *rules.keys().max().unwrap();
        for call in 0..last + 50 {
            let expected = match rules.get(&call) {
                Some(Rule::Always(Action::Allow)) => ALLOW,
                Some(Rule::Always(Action::Errno(errno))) => 0x0005_0000 | errno,
                Some(_) => continue,
                None if call > last => ENOSYS,
                None => EPERM,
            };
            assert_eq!(verdict(&program, call, [0; 3]), expected, "call {call}");
        }
    }

    #[test]
    fn arguments_decide_where_the_profile_says_so() {
        let program = runtime_default(crate::capabilities::DEFAULT);
        let clone = number(libc::SYS_clone);
        let thread = 0x003d_0f00;
        assert_eq!(verdict(&program, clone, [thread, 0, 0]), ALLOW);
        assert_eq!(verdict(&program, clone, [0x0002_0000, 0, 0]), EPERM);
        assert_eq!(verdict(&program, number(libc::SYS_clone3), [0; 3]), ENOSYS);
        let personality = number(libc::SYS_personality);
        assert_eq!(verdict(&program, personality, [0, 0, 0]), ALLOW);
        assert_eq!(verdict(&program, personality, [0x0004_0000, 0, 0]), EPERM);
        let socket = number(libc::SYS_socket);
        assert_eq!(verdict(&program, socket, [2, 0, 0]), ALLOW);
        assert_eq!(verdict(&program, socket, [38, 0, 0]), EPERM);
        assert_eq!(verdict(&program, socket, [40, 0, 0]), EPERM);
    }

    #[test]
    fn a_capability_opens_the_calls_that_need_it() {
        let mount = number(libc::SYS_mount);
        assert_eq!(verdict(&runtime_default(0), mount, [0; 3]), EPERM);
        assert_eq!(verdict(&runtime_default(1 << SYS_ADMIN), mount, [0; 3]), ALLOW);
        let unshare = number(libc::SYS_unshare);
        let default = runtime_default(crate::capabilities::DEFAULT);
        assert_eq!(verdict(&default, unshare, [0; 3]), EPERM);
        assert_eq!(verdict(&default, number(libc::SYS_chroot), [0; 3]), ALLOW);
    }

    #[test]
    fn calls_of_another_architecture_kill() {
        let program = runtime_default(crate::capabilities::DEFAULT);
        assert_eq!(verdict_on(&program, 0x4000_0003, number(libc::SYS_read), [0; 3]), KILL);
    }
}
