/* What verdicts.c has from look.c. */
void look(const char *path, const char *first, const char *second);
void look_at_own(const char *path, const char *first, const char *second, const char *pod);
