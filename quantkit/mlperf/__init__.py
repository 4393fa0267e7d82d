"""mlperf: LoadGen runs of an artifact, and the submission package made from them.

* `rules`: targets, minima, seeds and required fields, as MLPerf has them
* `settings`: what the user asks for, and when it is no result
* `samples`: the query sample library: windows of all questions, tokenized once
* `user_conf`: LoadGen's settings for a run
* `system_under_test`: queries → batches of the engine → answers
* `loadgen_job`: one run, as a file
* `loadgen_run`: the process of one run
* `isolation`: starts and watches that process
* `detail_log`: LoadGen's own account of a run
* `accuracy`: LoadGen's log of answers → F1 and exact match
* `system_description`: the 35 fields about the machine
* `submission`: the tree, with `documents`
* `check`: what would be rejected, with `checks_of_logs`
* `campaign`: all of it, in order
"""
