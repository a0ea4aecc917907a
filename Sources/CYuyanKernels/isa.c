int yk_placeholder(void); int yk_placeholder(void) { return 0; }
