// Batchjob books files of orders into a ledger, one file after the other, and
// any number of runners may be started: a lock of Conch lets one at a time
// work on the ledger, and the ledger refuses a runner that comes too late.
//
// The folder has
//
//	inbox/       files of orders as they arrive, in CSV: day,customer,cents
//	done/        those that are booked
//	ledger.csv   the totals per day and customer, and which file was booked
//	             under which token
//
// What one runner does, again and again, until the inbox is empty:
//
//  1. It takes the lock, which comes with a token.
//  2. It reads the ledger and the first file of the inbox and computes the new
//     totals.
//  3. It writes the new ledger, stamped with its token, in one atomic rename.
//     The ledger refuses a token that is older than the one it carries.
//  4. It moves the file to done/ and releases the lock.
//
// A runner that dies after step 3 leaves a booked file in the inbox; the next
// one finds it in the ledger and only moves it. A runner that was paused for so
// long that it lost the lock either notices, and writes nothing, or does not,
// and is refused in step 3.
package main
