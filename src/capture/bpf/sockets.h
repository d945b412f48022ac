/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Which sockets are the runtime's, and where they are found. */
#pragma once
#include "kernel.h"

#define UNIX_PATH 108
#define AF_UNIX 1
#define SOCK_STREAM 1
#define S_IFMT 0170000
#define S_IFSOCK 0140000

/* Filled by src/capture/filter.rs. */
enum { BY_INODE = 1, BY_PATH = 2, BY_BOTH = 3, BY_EITHER = 4 };
struct inode_key { u64 device, inode; };
struct path_key { char path[UNIX_PATH]; };
/* Bits by which most other sockets are passed over at once: of each wanted path's length, below 64
 * and from 64 on, and of each wanted inode's lowest 6 bits. */
struct filter { u64 by, shorter, longer, inodes; };
struct { __uint(type, ARRAY); __uint(max_entries, 1); __type(key, u32); __type(value, struct filter); } FILTER SEC(".maps");
struct { __uint(type, HASH); __uint(max_entries, 32); __type(key, struct inode_key); __type(value, u8); } INODES SEC(".maps");
struct { __uint(type, HASH); __uint(max_entries, 32); __type(key, struct path_key); __type(value, u8); } PATHS SEC(".maps");

INLINE int inode_wanted(struct unix_sock *sk, struct filter *filter)
{
	struct dentry *dentry = GET(sk, path.dentry);
	if (!dentry)
		return 0;
	struct inode *inode = GET(dentry, d_inode);
	u64 number = GET(inode, i_ino);
	if (!(filter->inodes >> (number & 63) & 1))
		return 0;
	struct super_block *fs = GET(inode, i_sb);
	struct inode_key key = { .device = GET(fs, s_dev), .inode = number };
	return lookup(&INODES, &key) != 0;
}

INLINE int path_wanted(struct unix_sock *sk, struct filter *filter)
{
	struct unix_address *address = GET(sk, addr);
	if (!address)
		return 0;
	/* Address family, path, final 0. */
	u32 length = (u32)GET(address, len) - 3;
	u64 lengths = length < 64 ? filter->shorter : filter->longer;
	if (length >= UNIX_PATH || !(lengths >> (length & 63) & 1))
		return 0;
	struct path_key key = {};
	/* sun_path stands after the family, by ABI; aya cannot relocate an index of a flexible array. */
	read_kernel_str(&key, sizeof(key), (char *)__builtin_preserve_access_index(&address->name) + 2);
	return lookup(&PATHS, &key) != 0;
}

/* Whether this is a server's end: accepted sockets inherit address and file of the listener. */
INLINE int wanted(struct unix_sock *sk, struct filter *filter)
{
	switch (filter->by) {
	case BY_INODE: return inode_wanted(sk, filter);
	case BY_PATH: return path_wanted(sk, filter);
	case BY_BOTH: return inode_wanted(sk, filter) && path_wanted(sk, filter);
	case BY_EITHER: return inode_wanted(sk, filter) || path_wanted(sk, filter);
	}
	return 0;
}

/* The number of the file behind an end of a connection; 0 when it is closed. */
INLINE u64 number_of(struct sock *sk)
{
	struct socket *socket = GET(sk, sk_socket);
	struct file *file = GET(socket, file);
	struct inode *inode = GET(file, f_inode);
	return GET(inode, i_ino);
}

/* The stream socket behind a file descriptor of the current task, if it is a unix one. */
INLINE struct sock *unix_stream(u32 fd)
{
	struct task_struct *task = (void *)current_task();
	struct files_struct *files = GET(task, files);
	struct fdtable *table = GET(files, fdt);
	if (fd >= GET(table, max_fds))
		return 0;
	struct file **files_by_fd = GET(table, fd), *file = 0;
	read_kernel(&file, sizeof(file), files_by_fd + fd);
	struct inode *inode = GET(file, f_inode);
	if ((GET(inode, i_mode) & S_IFMT) != S_IFSOCK)
		return 0;
	struct socket *socket = GET(file, private_data);
	struct sock *sk = GET(socket, sk);
	if (GET(sk, __sk_common.skc_family) != AF_UNIX || GET(socket, type) != SOCK_STREAM)
		return 0;
	return sk;
}
