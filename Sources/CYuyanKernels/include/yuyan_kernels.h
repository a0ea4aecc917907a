int yk_placeholder(void);
