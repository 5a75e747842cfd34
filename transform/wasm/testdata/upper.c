// upper turns the letters a to z into A to Z. It is the smallest useful example
// of a filter: what has come is written before more is read.
//
// Built by the script build beside it.
#include <unistd.h>

static char buf[4096];

int main(void) {
	for (;;) {
		ssize_t n = read(0, buf, sizeof buf);
		if (n <= 0)
			return n < 0; // an error is no end
		for (ssize_t i = 0; i < n; i++)
			if (buf[i] >= 'a' && buf[i] <= 'z')
				buf[i] -= 'a' - 'A';
		for (ssize_t done = 0, k; done < n; done += k)
			if ((k = write(1, buf + done, n - done)) < 0)
				return 1;
	}
}
