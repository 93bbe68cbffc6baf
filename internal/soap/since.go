package soap

import (
	"strings"

	"github.com/vigate/vigate/internal/schema"
	"github.com/vigate/vigate/internal/vim"
)

// unmarked are the members of what is served that came into the API after 4.0, the
// oldest version that clients find here, and that the library's types do not mark with
// the release that brought them: the library marks from 7.0.0.2 on. A member that is as
// old as its type is not here. Clients of up to 6.7.1 don't know those of 7.0; which
// release between the two brought them makes no difference to any client.
//
// The tests hold the table to all that is served, and to pyVmomi's own tables.
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

// The releases of a session's newer members, which have a way of their own into XML.
var (
	sinceExtensionSession = vim.Release{5, 0}
	sinceCallCount        = vim.Release{5, 1} // ipAddress and userAgent as well
)

// releases are those of the members that unmarked has, by their names.
func releases() map[string]vim.Release {
	all := map[string]vim.Release{}
	for r, members := range unmarked {
		for name := range strings.FieldsSeq(members) {
			all[name] = r
		}
	}
	return all
}

// since returns the first release that has a member; zero: one that is older than all
// that are told apart. unmarked is what releases returns.
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
