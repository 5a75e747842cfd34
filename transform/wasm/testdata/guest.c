// guest does what its arguments say, one after the other, well or badly: it is
// for the tests.
//
// Built by the script build beside it.
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char buf[8192];

static void all(int fd, const char *p, size_t n) {
	while (n > 0) {
		ssize_t k = write(fd, p, n);
		if (k < 0)
			_exit(9);
		p += k;
		n -= k;
	}
}

static void say(int fd, const char *s) {
	all(fd, s, strlen(s));
	all(fd, "\n", 1);
}

// copy copies up to max bytes, and says how reading failed.
static void copy(long long max) {
	while (max > 0) {
		ssize_t n = read(0, buf, max < (long long)sizeof buf ? (size_t)max : sizeof buf);
		if (n < 0) {
			say(2, "read failed");
			_exit(8);
		}
		if (n == 0)
			return;
		all(1, buf, n);
		max -= n;
	}
}

static int deep(volatile int *n) {
	volatile int here = *n + 1;
	return here < 0 ? 0 : deep(&here) + here;
}

int main(int argc, char **argv) {
	volatile int n = 0;
	for (int i = 1; i < argc; i++) {
		const char *a = argv[i];
		const char *v = strchr(a, '=') ? strchr(a, '=') + 1 : "";
		if (!strcmp(a, "copy"))
			copy(1LL << 62); // for ever
		else if (!strncmp(a, "copy=", 5))
			copy(atol(v));
		else if (!strncmp(a, "say=", 4))
			say(1, v);
		else if (!strncmp(a, "cry=", 4))
			say(2, v);
		else if (!strncmp(a, "exit=", 5))
			_exit(atoi(v));
		else if (!strncmp(a, "env=", 4))
			say(1, getenv(v) ? getenv(v) : "(none)");
		else if (!strncmp(a, "open=", 5))
			say(1, open(v, O_RDONLY) < 0 ? "closed" : "open");
		else if (!strncmp(a, "sleep=", 6))
			sleep(atoi(v));
		else if (!strcmp(a, "trap"))
			__builtin_trap();
		else if (!strcmp(a, "deep"))
			n = deep(&n);
		else if (!strcmp(a, "spin"))
			for (;;)
				n++;
		else if (!strcmp(a, "grow")) { // until it gets no more
			long pages = 0;
			while (__builtin_wasm_memory_grow(0, 32) != (size_t)-1)
				pages += 32;
			say(1, pages < 1000 ? "few" : "many");
		} else if (!strcmp(a, "flood"))
			for (int k = 0; k < 100000; k++)
				all(2, "0123456789abcdef0123456789abcdef", 32 - k % 3);
		else if (!strcmp(a, "yes"))
			for (;;)
				all(1, buf, sizeof buf);
		else
			_exit(7);
	}
	return 0;
}
