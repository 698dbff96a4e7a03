/*
 * Standard input, output and error: what the mains of all programs begin and end with.
 */
#ifndef LARDER_BASE_STANDARD_H
#define LARDER_BASE_STANDARD_H

/*
 * Gives those of descriptors 0 to 2 that are closed to a file that can be neither read nor written,
 * or else the next file or connection that is opened would be taken for them: log lines would go to
 * PostgreSQL, or into the counters. To be called before anything is opened.
 */
void standard_fill(void);

/*
 * Writes what still waits on standard output and closes it. Returns the status to exit with: the
 * given one, or where not all that was printed arrived, which it tells on standard error, not 0.
 */
int standard_end(const char *program, int status);

/*
 * The whole run of a program that was given an argument and takes none but --version and --help;
 * standard output is closed. Returns the status to exit with: 2 for any other argument.
 */
int standard_answer(const char *program, const char *argument, const char *usage);

#endif
