/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* The few kernel fields and helpers that capture.bpf.c needs. Offsets and enum values here mean
 * nothing: the loader replaces them by those of the running kernel (CO-RE). */
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long s64;

#define SEC(name) __attribute__((section(name), used))
#define INLINE static inline __attribute__((always_inline))
#define CORE __attribute__((preserve_access_index))

/* Map declarations as libbpf and aya read them from BTF. */
#define __uint(name, value) int(*name)[value]
#define __type(name, type) typeof(type) *name
enum { ARRAY = 2, PERCPU_ARRAY = 6, HASH = 1, LRU_HASH = 9, RINGBUF = 27 };
enum { ANY = 0, NOEXIST = 1 };

/* Numbers from include/uapi/linux/bpf.h; they never change. */
static void *(*lookup)(void *map, const void *key) = (void *)1;
static long (*update)(void *map, const void *key, const void *value, u64 flags) = (void *)2;
static u64 (*monotonic_ns)(void) = (void *)5;
static u64 (*current_task)(void) = (void *)35;
static long (*read_user)(void *to, u32 size, const void *from) = (void *)112;
static long (*read_kernel)(void *to, u32 size, const void *from) = (void *)113;
static long (*read_kernel_str)(void *to, u32 size, const void *from) = (void *)115;
static long (*ring_output)(void *ring, void *data, u64 size, u64 flags) = (void *)130;

/* The value of a kernel field; 0 where the pointer leads nowhere. */
#define GET(pointer, field)                                                                    \
	({                                                                                     \
		typeof((pointer)->field) value_ = 0;                                           \
		read_kernel(&value_, sizeof(value_),                                           \
			    __builtin_preserve_access_index(&(pointer)->field));               \
		value_;                                                                        \
	})
#define HAS(pointer, field) __builtin_preserve_field_info((pointer)->field, 2)
#define HAS_ENUM(type, name) __builtin_preserve_enum_value(*(typeof(enum type) *)name, 0)
#define ENUM(type, name) __builtin_preserve_enum_value(*(typeof(enum type) *)name, 1)

struct super_block { u32 s_dev; } CORE;
struct inode { u16 i_mode; struct super_block *i_sb; unsigned long i_ino; } CORE;
struct dentry { struct inode *d_inode; } CORE;
struct path { struct dentry *dentry; } CORE;
struct file { struct inode *f_inode; void *private_data; } CORE;
struct fdtable { u32 max_fds; struct file **fd; } CORE;
struct files_struct { struct fdtable *fdt; } CORE;
struct thread_info { u32 status; } CORE;
struct task_struct { struct thread_info thread_info; struct files_struct *files; } CORE;

struct sock;
struct socket { short type; struct file *file; struct sock *sk; } CORE;
struct sock_common { u16 skc_family; } CORE;
struct sock { struct sock_common __sk_common; u8 sk_shutdown; struct socket *sk_socket; } CORE;
struct sockaddr_un { char sun_path[108]; } CORE;
struct unix_address { int len; struct sockaddr_un name[0]; } CORE;
struct unix_sock { struct unix_address *addr; struct path path; struct sock *peer; } CORE;

struct iovec { u64 iov_base; u64 iov_len; };        /* ABI */
struct user_msghdr { u64 msg_name; u64 msg_namelen; u64 msg_iov; u64 msg_iovlen; }; /* ABI */

/* Linux 6.4 and later: __iov and ubuf; 6.0 to 6.3: iov and ubuf; 5.14 to 5.19: iov; before 5.14:
 * `type`, with the direction in its lowest bit. */
struct iov_iter { u8 iter_type; u64 iov_offset; u64 count; const struct iovec *__iov; void *ubuf; } CORE;
struct iov_iter___iov { const struct iovec *iov; } CORE;
struct iov_iter___type { u32 type; } CORE;
enum iter_type { ITER_IOVEC = 0, ITER_UBUF = 6 };
struct msghdr { struct iov_iter msg_iter; } CORE;

#if defined(__TARGET_ARCH_x86)
struct pt_regs { unsigned long orig_ax, di, si, dx; } CORE;
#define SYSCALL(regs) ((regs)->orig_ax)
#define ARG1(regs) ((regs)->di)
#define ARG2(regs) ((regs)->si)
enum { SYS_WRITE = 1, SYS_WRITEV = 20, SYS_SENDTO = 44, SYS_SENDMSG = 46 };
enum { SYS_READ = 0, SYS_READV = 19, SYS_RECVFROM = 45, SYS_RECVMSG = 47 };
#elif defined(__TARGET_ARCH_arm64)
/* The first argument's register already holds the result; the kernel keeps the original. */
struct pt_regs { u64 regs[31]; u64 orig_x0; int syscallno; } CORE;
#define SYSCALL(regs) ((u32)(regs)->syscallno)
#define ARG1(regs) ((regs)->orig_x0)
#define ARG2(regs) ((regs)->regs[1])
enum { SYS_WRITE = 64, SYS_WRITEV = 66, SYS_SENDTO = 206, SYS_SENDMSG = 211 };
enum { SYS_READ = 63, SYS_READV = 65, SYS_RECVFROM = 207, SYS_RECVMSG = 212 };
#else
#error "pullfuse captures on x86_64 and aarch64 only"
#endif
