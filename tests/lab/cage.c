// Owns: starting the agent in an empty chroot, or where reading the wall clock is death. Pushed as if it were the agent.
// Must not: stay between the agent and its input and output: both are the agent's own.
// Built with -DAGENT="/path" and, as wanted, -DCHROOT="/path" and -DNO_WALL_CLOCK.
//
// The wall clock is read through the vDSO, which no strace sees. So the new program is stopped at its first
// instruction, its way to the vDSO is taken out (auxiliary vector and ELF magic), and a seccomp filter kills it when it
// then asks the kernel for a clock that is not monotonic.
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void die(const char *what) {
  fprintf(stderr, "cage: %s: %s\n", what, strerror(errno));
  exit(70);
}

#ifdef NO_WALL_CLOCK
static void forbid_wall_clock(void) {
  struct sock_filter rules[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
#ifdef __NR_time
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_time, 6, 0),
#else
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0xffffffff, 6, 0),
#endif
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_gettimeofday, 5, 0),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_clock_gettime, 0, 3),
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0 /* CLOCK_REALTIME */, 2, 0),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 5 /* CLOCK_REALTIME_COARSE */, 1, 0),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
  };
  struct sock_fprog program = { sizeof rules / sizeof *rules, rules };
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) die("no_new_privs");
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) die("seccomp");
}

static long peek(pid_t pid, unsigned long at) {
  errno = 0;
  long word = ptrace(PTRACE_PEEKDATA, pid, (void *)at, 0);
  if (errno) die("peek");
  return word;
}

// Field 28 of stat: where the stack began, which at exec is where argc lies.
static unsigned long stack_start(pid_t pid) {
  char path[64], text[1024];
  snprintf(path, sizeof path, "/proc/%d/stat", pid);
  FILE *file = fopen(path, "r");
  if (!file || !fgets(text, sizeof text, file)) die(path);
  fclose(file);
  char *at = strrchr(text, ')');
  for (int field = 2; field < 28; field++) at = strchr(at + 1, ' ');
  return strtoul(at, 0, 10);
}

static void hide_vdso(pid_t pid) {
  unsigned long at = stack_start(pid), word = sizeof(long), hidden = 0;
  at += word * (peek(pid, at) + 2);               // argc, argv, its end
  while (peek(pid, at)) at += word;               // envp
  at += word;
  for (; peek(pid, at) != AT_NULL; at += 2 * word) {
    if (peek(pid, at) != AT_SYSINFO_EHDR) continue;
    unsigned long image = peek(pid, at + word);
    if (ptrace(PTRACE_POKEDATA, pid, (void *)at, AT_IGNORE)) die("poke the auxiliary vector");
    if (ptrace(PTRACE_POKEDATA, pid, (void *)image, 0)) die("poke the vDSO");
    hidden = 1;
  }
  if (!hidden) { errno = ENOENT; die("a vDSO"); }
}
#endif

int main(int argc, char **argv) {
  (void)argc;
  pid_t pid = fork();
  if (pid < 0) die("fork");
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
#ifdef CHROOT
    if (chroot(CHROOT) || chdir("/")) die("chroot " CHROOT);
#endif
#ifdef NO_WALL_CLOCK
    if (ptrace(PTRACE_TRACEME, 0, 0, 0)) die("trace me");
    forbid_wall_clock();
#endif
    execv(AGENT, argv);
    die("exec " AGENT);
  }
  int status;
#ifdef NO_WALL_CLOCK
  if (waitpid(pid, &status, 0) != pid) die("wait for exec");
  if (WIFSTOPPED(status)) {
    hide_vdso(pid);
    if (ptrace(PTRACE_DETACH, pid, 0, 0)) die("detach");
  } else {
    return 70;
  }
#endif
  // The agent's end of input is its own to see: this copy must not hold the pipe open.
  close(0);
  close(1);
  while (waitpid(pid, &status, 0) != pid) if (errno != EINTR) die("wait");
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS) fprintf(stderr, "cage: it read the wall clock\n");
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
