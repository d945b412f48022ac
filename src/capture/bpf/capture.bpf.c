/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Copies what is sent over the container runtime's unix socket into a ring buffer.
 *
 * One program runs after each send and looks at what was really sent, so nothing has to be
 * remembered between a send's begin and its end: `unix_sent` after the kernel's own
 * unix_stream_sendmsg(), or, where the kernel refuses that, `syscall_done` after every system call.
 * Whatever cannot be copied still advances the stream's offset: user space sees the gap. The end of
 * a connection is told by a record without bytes.
 *
 * A preemptible kernel may go on to another task while `unix_sent` runs, and skips it there: such a
 * send leaves no gap, but the kernel counts it, and src/capture/hidden.rs makes a gap of that.
 */
#include "kernel.h"
#include "sockets.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define CHUNK 16384 /* bytes in a record; a power of two */
#define STEPS 512   /* records and segments of one send; more than that is a gap */
#define TS_COMPAT 2
#define RCV_SHUTDOWN 1
#define ECONNRESET 104

/* What user space reads; src/capture/record.rs knows the same layout. */
struct header { u64 connection, time_ns, offset; u32 length; u8 direction; u8 unused[3]; };
enum { TO_SERVER = 0, TO_CLIENT = 1 };

struct { __uint(type, RINGBUF); __uint(max_entries, 4 << 20); } RECORDS SEC(".maps");

/* Connections by the inode number of the client's socket. Numbers come round again: `client` and
 * the creation time in `id` tell a new socket from an old one. */
struct connection { u64 client, id, sent[2]; };
struct { __uint(type, LRU_HASH); __uint(max_entries, 4096); __type(key, u64); __type(value, struct connection); } CONNECTIONS SEC(".maps");
/* The client's number by the server's, for those that were heard by system calls. */
struct { __uint(type, LRU_HASH); __uint(max_entries, 4096); __type(key, u64); __type(value, u64); } SERVERS SEC(".maps");
/* Connections that user space does not want any more, by `id`. */
struct { __uint(type, LRU_HASH); __uint(max_entries, 4096); __type(key, u64); __type(value, u8); } MUTED SEC(".maps");

enum { RECORDED, DROPPED, FAULTED, UNSUPPORTED, TRUNCATED, COUNTERS };
struct { __uint(type, ARRAY); __uint(max_entries, COUNTERS); __type(key, u32); __type(value, u64); } COUNTS SEC(".maps");

/* Where the bytes of a send lie. */
enum { NOWHERE = 0, BUFFER = 1, KERNEL_IOVEC = 2, USER_IOVEC = 3 };

/* A walk over a send's bytes. In a map, not in registers: the verifier then knows nothing about its
 * values, so that all turns of a loop look alike to it. */
struct walk { u64 at, in_segment, iovec, left, back; u32 kind, unused; };
struct scratch { struct walk walk; struct header header; u8 data[CHUNK]; };
struct { __uint(type, PERCPU_ARRAY); __uint(max_entries, 1); __type(key, u32); __type(value, struct scratch); } SCRATCH SEC(".maps");

INLINE void count(u32 which)
{
	u64 *n = lookup(&COUNTS, &which);
	if (n)
		__sync_fetch_and_add(n, 1);
}

/* The connection's state, if it was heard before. */
INLINE struct connection *known_connection(struct sock *client, u64 number)
{
	struct connection *known = lookup(&CONNECTIONS, &number);
	return known && known->client == (u64)client ? known : 0;
}

/* The connection's state, made when it is first heard; 0 when the client's end is already closed. */
INLINE struct connection *connection_of(struct sock *client)
{
	u64 number = number_of(client);
	if (!number)
		return 0;
	struct connection *known = lookup(&CONNECTIONS, &number);
	if (known && known->client == (u64)client)
		return known;
	struct connection new = {
		.client = (u64)client,
		.id = number << 32 | (u32)(monotonic_ns() >> 10),
	};
	/* Both ends may come here at once; the first one's state is kept. */
	update(&CONNECTIONS, &number, &new, known ? ANY : NOEXIST);
	return lookup(&CONNECTIONS, &number);
}

/* Reads the segment that the walk stands at. */
INLINE int enter_segment(struct walk *walk)
{
	struct iovec segment = {};
	long failed = walk->kind == USER_IOVEC
			      ? read_user(&segment, sizeof(segment), (void *)walk->iovec)
			      : read_kernel(&segment, sizeof(segment), (void *)walk->iovec);
	walk->at = segment.iov_base;
	walk->in_segment = segment.iov_len;
	return failed ? -1 : 0;
}

/* Copies what lies in the walk's way. The header is filled but for offset and length. */
INLINE void copy(struct scratch *s, u64 offset)
{
	struct walk *walk = &s->walk;
	s->header.offset = offset;
#pragma clang loop unroll(disable)
	for (int i = 0; i < STEPS; i++) {
		if (!walk->left)
			return;
		if (!walk->in_segment) {
			walk->iovec += sizeof(struct iovec);
			if (walk->kind == BUFFER || enter_segment(walk)) {
				count(FAULTED);
				return;
			}
			if (!walk->in_segment)
				continue;
		}
		u64 n = walk->left;
		if (n > walk->in_segment)
			n = walk->in_segment;
		if (n > CHUNK)
			n = CHUNK;
		/* The verifier must see the bound, the compiler must not think it away. */
		asm volatile("" : "+r"(n));
		n &= 2 * CHUNK - 1;
		if (n > CHUNK)
			return;
		s->header.length = n;
		if (read_user(s->data, n, (void *)walk->at))
			count(FAULTED);
		else if (ring_output(&RECORDS, &s->header, sizeof(struct header) + n, 0))
			count(DROPPED);
		else
			count(RECORDED);
		s->header.offset += n;
		walk->at += n;
		walk->in_segment -= n;
		walk->left -= n;
	}
	count(TRUNCATED);
}

/* The client's end, if one of the ends is the runtime's; `direction` is that of what `sk` sends. */
INLINE struct sock *client_of(struct sock *sk, struct sock *peer, u8 *direction)
{
	u32 zero = 0;
	struct filter *filter = lookup(&FILTER, &zero);
	if (!filter || !peer)
		return 0;
	*direction = TO_SERVER;
	if (wanted((struct unix_sock *)peer, filter))
		return sk;
	*direction = TO_CLIENT;
	return wanted((struct unix_sock *)sk, filter) ? peer : 0;
}

/* Fills a header for this connection; 0 if nobody wants to hear it. */
INLINE int begin(struct header *header, struct connection *connection, u8 direction)
{
	u64 id = connection->id;
	if (lookup(&MUTED, &id))
		return 0;
	header->connection = id;
	header->direction = direction;
	header->time_ns = monotonic_ns();
	return 1;
}

/* Whether this end's sends are to be heard; if so the scratch has connection, direction and time. */
INLINE struct scratch *heard(struct sock *sk, u64 sent, u64 *offset)
{
	u8 direction;
	struct sock *client = client_of(sk, GET((struct unix_sock *)sk, peer), &direction);
	if (!client)
		return 0;
	struct connection *connection = connection_of(client);
	if (!connection)
		return 0;
	u32 zero = 0;
	struct scratch *s = lookup(&SCRATCH, &zero);
	if (!s || !begin(&s->header, connection, direction))
		return 0;
	/* Two sends at once on one end of a stream have no order that anybody could rely on. */
	u64 *total = &connection->sent[direction];
	*offset = *total;
	__sync_fetch_and_add(total, sent);
	s->walk.left = sent;
	return s;
}

/* Tells that a connection is over: a record without bytes. */
INLINE void closed(struct connection *connection, u8 direction)
{
	/* Not in the scratch: where the kernel is preemptible, this may come between two pieces of a send
	 * that another task makes on this processor. The kernel guards a program from itself alone. */
	struct header header = { .offset = connection->sent[direction] };
	if (begin(&header, connection, direction) &&
	    ring_output(&RECORDS, &header, sizeof(header), 0))
		count(DROPPED);
}

INLINE u32 kind_of(struct iov_iter *iter)
{
	if (!HAS(iter, iter_type)) {
		u32 type = GET((struct iov_iter___type *)iter, type) & ~1u;
		return type == 4 ? KERNEL_IOVEC : NOWHERE;
	}
	u8 type = GET(iter, iter_type);
	if (HAS_ENUM(iter_type, ITER_UBUF) && type == ENUM(iter_type, ITER_UBUF))
		return BUFFER;
	return type == ENUM(iter_type, ITER_IOVEC) ? KERNEL_IOVEC : NOWHERE;
}

SEC("fexit/unix_stream_sendmsg")
int unix_sent(u64 *ctx)
{
	struct socket *socket = (void *)ctx[0];
	struct msghdr *message = (void *)ctx[1];
	u64 length = ctx[2];
	int sent = (int)ctx[3];
	u64 offset;
	if (sent <= 0)
		return 0;
	struct scratch *s = heard(GET(socket, sk), sent, &offset);
	if (!s)
		return 0;

	/* The iterator stands behind what was taken, which is more than what was sent when the send
	 * failed half-way. Walk back by that much to where it began. */
	struct walk *walk = &s->walk;
	struct iov_iter *iter = &message->msg_iter;
	u64 within = GET(iter, iov_offset);
	walk->back = length - GET(iter, count);
	walk->kind = kind_of(iter);
	if (walk->kind == BUFFER) {
		walk->at = (u64)GET(iter, ubuf) + within - walk->back;
		walk->in_segment = sent;
	} else if (walk->kind == KERNEL_IOVEC) {
		walk->iovec = HAS(iter, __iov) ? (u64)GET(iter, __iov)
					       : (u64)GET((struct iov_iter___iov *)iter, iov);
		walk->in_segment = within;
#pragma clang loop unroll(disable)
		for (int i = 0; i < STEPS && walk->back > walk->in_segment; i++) {
			walk->back -= walk->in_segment;
			walk->iovec -= sizeof(struct iovec);
			if (enter_segment(walk))
				break;
		}
		if (walk->back > walk->in_segment) {
			count(TRUNCATED);
			return 0;
		}
		within = walk->in_segment - walk->back;
		if (enter_segment(walk)) {
			count(FAULTED);
			return 0;
		}
		walk->at += within;
		walk->in_segment -= within;
	} else {
		count(UNSUPPORTED);
		return 0;
	}
	copy(s, offset);
	return 0;
}

SEC("fentry/unix_release")
int unix_closed(u64 *ctx)
{
	struct socket *socket = (void *)ctx[0];
	struct sock *sk = GET(socket, sk);
	if (!sk || GET(socket, type) != SOCK_STREAM)
		return 0;
	u8 direction;
	struct sock *client = client_of(sk, GET((struct unix_sock *)sk, peer), &direction);
	struct connection *connection = client ? known_connection(client, number_of(client)) : 0;
	if (connection)
		closed(connection, direction);
	return 0;
}

/* A read that found the end. The other end is gone, and with it what `wanted` looks at; so this one
 * is recognised by what it sent. */
INLINE void found_the_end(struct sock *sk)
{
	if (!(GET(sk, sk_shutdown) & RCV_SHUTDOWN))
		return;
	u64 number = number_of(sk);
	struct connection *connection = known_connection(sk, number);
	if (connection) {
		closed(connection, TO_CLIENT);
		return;
	}
	u64 *client = lookup(&SERVERS, &number);
	if (client)
		connection = known_connection(GET((struct unix_sock *)sk, peer), *client);
	if (connection)
		closed(connection, TO_SERVER);
}

/* Notes whose server's end this is; only this way is it found when the client's is gone. */
INLINE void note_server(struct sock *sk, struct scratch *s)
{
	u64 number = number_of(sk), client = s->header.connection >> 32;
	u64 *noted = lookup(&SERVERS, &number);
	if (!noted || *noted != client)
		update(&SERVERS, &number, &client, ANY);
}

SEC("tp_btf/sys_exit")
int syscall_done(u64 *ctx)
{
	struct pt_regs *regs = (void *)ctx[0];
	s64 sent = (s64)ctx[1];
	if (sent < 0 && sent != -ECONNRESET)
		return 0;
	u64 call = SYSCALL(regs);
	struct sock *sk;
	if (sent <= 0) {
		if (call != SYS_READ && call != SYS_READV && call != SYS_RECVFROM && call != SYS_RECVMSG)
			return 0;
		sk = unix_stream(ARG1(regs));
		if (sk)
			found_the_end(sk);
		return 0;
	}
	if (call != SYS_WRITE && call != SYS_WRITEV && call != SYS_SENDTO && call != SYS_SENDMSG)
		return 0;
	u64 argument = ARG2(regs), offset;
	sk = unix_stream(ARG1(regs));
	if (!sk)
		return 0;
	struct scratch *s = heard(sk, sent, &offset);
	if (!s)
		return 0;
	if (s->header.direction == TO_CLIENT)
		note_server(sk, s);
#if defined(__TARGET_ARCH_x86)
	/* Of a 32-bit program the same numbers mean other calls. */
	struct task_struct *task = (void *)current_task();
	if (GET(task, thread_info.status) & TS_COMPAT) {
		count(UNSUPPORTED);
		return 0;
	}
#endif

	struct walk *walk = &s->walk;
	walk->kind = USER_IOVEC;
	walk->iovec = argument;
	if (call == SYS_SENDMSG) {
		struct user_msghdr message = {};
		read_user(&message, sizeof(message), (void *)argument);
		walk->iovec = message.msg_iov;
	}
	if (call == SYS_WRITE || call == SYS_SENDTO) {
		walk->kind = BUFFER;
		walk->at = argument;
		walk->in_segment = sent;
	} else if (enter_segment(walk)) {
		count(FAULTED);
		return 0;
	}
	copy(s, offset);
	return 0;
}
