/* Stands where Wine has a program that does nothing and says that it has done it: here it fails, and says so. */
#include <stdio.h>

int main(int count, char **arguments)
{
    fprintf(stderr, "%s: the lab has no such program\n", count ? arguments[0] : "?");
    return 9009;
}
