package soap

import (
	"strings"

	"github.com/vigate/vigate/internal/schema"
	"github.com/vigate/vigate/internal/vim"
)

// unmarked are the members of the served types that are newer than release 4.0, the oldest version in the
// document of versions, and whose release is not in the library's types. The library marks members from
// 7.0.0.2 on. A member that is as old as its type is not in this table. The clients of releases up to 6.7.1
// don't know the members of 7.0. Which release between the two added them makes no difference to any
// client.
//
// The tests compare this table with all served types, and with pyVmomi's own tables.
var unmarked = map[vim.Release]string{
	{4, 1}: `EVCMode.guaranteedCPUFeatures EVCMode.track EventDescriptionEventDetail.longDescription EventEx.fault
		EventEx.objectName ExtensionServerInfo.serverThumbprint PropertyFilterSpec.reportMissingObjectsInResults
		ServiceContent.storageResourceManager UpdateSet.truncated`,
	{5, 0}: `Extension.extendedProductInfo Extension.managedEntityInfo Extension.ovfConsumerInfo
		Extension.shownInSolutionManager Extension.solutionManagerInfo ServiceContent.guestOperationsManager
		UserSession.extensionSession`,
	{5, 1}: `Capability.networkBackupAndRestoreSupported EVCMode.featureCapability EVCMode.featureMask
		EVCMode.featureRequirement ExtManagedEntityInfo.iconUrl ServiceContent.serviceManager
		SessionManagerGenericServiceTicket.hostName SessionManagerGenericServiceTicket.sslThumbprint
		UserLoginSessionEvent.userAgent UserLogoutSessionEvent.callCount UserLogoutSessionEvent.ipAddress
		UserLogoutSessionEvent.loginTime UserLogoutSessionEvent.sessionId UserLogoutSessionEvent.userAgent
		UserSession.callCount UserSession.ipAddress UserSession.userAgent`,
	{5, 5}: `ServiceContent.datastoreNamespaceManager`,
	{6, 0}: `AlarmState.eventKey ServiceContent.certificateManager ServiceContent.ioFilterManager
		ServiceContent.overheadMemoryManager`,
	{6, 5}: `EventFilterSpec.maxCount GlobalMessageChangedEvent.prevMessage ServiceContent.cryptoManager
		ServiceContent.failoverClusterConfigurator ServiceContent.failoverClusterManager
		ServiceContent.healthUpdateManager ServiceContent.hostSpecManager ServiceContent.vStorageObjectManager`,
	{6, 7}:    `Capability.ftDrsWithoutEvcSupported`,
	{6, 7, 1}: `Capability.hciWorkflowSupported`,
	{7, 0}: `AlarmState.disabled Capability.clusterPlacementSupported Capability.computePolicyVersion
		Capability.lifecycleManagementSupported Capability.scalableSharesSupported
		ServiceContent.guestCustomizationManager ServiceContent.siteInfoManager ServiceContent.storageQueryManager
		ServiceContent.tenantManager`,
}

// The releases that added members to UserSession, which has an encoder of its own.
var (
	sinceExtensionSession = vim.Release{5, 0}
	sinceCallCount        = vim.Release{5, 1} // also ipAddress and userAgent
)

// releases returns the releases of unmarked by "Type.member".
func releases() map[string]vim.Release {
	all := map[string]vim.Release{}
	for r, members := range unmarked {
		for name := range strings.FieldsSeq(members) {
			all[name] = r
		}
	}
	return all
}

// since returns the first release that has a member. It returns the zero release if all releases that this
// server distinguishes have it. unmarked is the result of releases.
func since(m schema.Member, unmarked map[string]vim.Release) vim.Release {
	if r, ok := unmarked[m.Owner.Name()+"."+m.Name]; ok {
		return r
	}
	r, err := vim.ParseRelease(m.Field.Tag.Get("vim"))
	if err != nil {
		return vim.Release{}
	}
	return r
}
